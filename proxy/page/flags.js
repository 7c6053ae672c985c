export const meaningOf = (flag) => flag;
