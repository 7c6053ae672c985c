/**
 * Elements, made of names, attributes and text. What comes from outside is text here, and never parsed as HTML.
 */

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element; an attribute that is null or false is left out, and children are elements or text. */
export function element(name, attributes = {}, ...children) {
  return furnished(document.createElement(name), attributes, children);
}

/** The same for graphics. */
export function graphic(name, attributes = {}, ...children) {
  return furnished(document.createElementNS(SVG, name), attributes, children);
}

/** Changes the text of an element that holds nothing else, in place and only if it differs: selections survive. */
export function setText(node, text) {
  const data = String(text);
  if (node.firstChild === null) node.append(data);
  else if (node.firstChild.data !== data) node.firstChild.data = data;
}

/** Sets an attribute, or removes it if the value is null or false; untouched where it says so already. */
export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

function furnished(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children);
  return node;
}
