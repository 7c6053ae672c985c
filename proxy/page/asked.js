/** A question to the service. */

/** Its response; null if it does not answer, which the state of the connection tells. */
export async function asked(url, options = {}) {
  try {
    return await fetch(url, options);
  } catch {
    return null;
  }
}
