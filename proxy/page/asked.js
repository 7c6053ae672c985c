/** Questions to the service. */

/** Its response; null if it does not answer, which the state of the connection tells. */
export async function asked(url, options = {}) {
  try {
    return await fetch(url, options);
  } catch {
    return null;
  }
}

/**
 * `{status, document, refusal}`: what it answers, with the JSON of a success, or else the problem document; null where there
 * is none, or it broke off.
 */
export async function told(url, options) {
  const response = await asked(url, options);
  const said = response && (await whole(response));
  const isGiven = response?.ok ?? false;
  return { status: response?.status ?? null, document: isGiven ? said : null, refusal: isGiven ? null : said };
}

async function whole(response) {
  try {
    return await response.json();
  } catch {
    return null; // it was broken off, as when the service ends
  }
}

/** The detail of a refusal without the marks around what is code. */
export const plain = (detail) => detail.replaceAll("`", "");
