/** Small screens, where there is no room beside anything, and each row takes a good part of what is seen (see small.css). */

export const SMALL = matchMedia("(max-width: 52rem)");

/** How many rows are shown there without being asked for. */
export const FEW = 6;
