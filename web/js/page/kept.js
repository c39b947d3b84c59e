// A board tells the libraries of the page that it kept something.

const messages = new EventTarget();
const KEPT = "kept";

/** Tell that there is a new file. */
export function tellKept() {
  messages.dispatchEvent(new Event(KEPT));
}

/**
 * Hear of each new file.
 * @param {() => void} hear
 */
export function onKept(hear) {
  messages.addEventListener(KEPT, hear);
}
