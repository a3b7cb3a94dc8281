// The little that the pages need of a framework. Texts become text nodes only, so nothing that a camera says is markup.

/** byId finds an element of the page that must be there. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** el makes an element: attributes (class, aria-…, on… functions; false and null leave it out), then children. */
export function el(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** svg is el for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** setText changes a text only if it differs: screen readers announce changes, and layout costs. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** icon refers to a symbol of the page's own sheet. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}
