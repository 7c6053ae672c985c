/** Questions to the service. */

/** Its response; null if it does not answer, which the state of the connection tells. */
export async function asked(url, options = {}) {
  try {
    return await fetch(url, options);
  } catch {
    return null;
  }
}

/** `{status, document}`: what it answers, with the JSON of a success; null where there is none, or it broke off. */
export async function told(url) {
  const response = await asked(url);
  return { status: response?.status ?? null, document: response?.ok ? await whole(response) : null };
}

async function whole(response) {
  try {
    return await response.json();
  } catch {
    return null; // it was broken off, as when the service ends
  }
}
