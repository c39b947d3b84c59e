// What the page calls on nodes and widgets, such as `onConfigure` and `callback`.

/**
 * Do something after a function that the page calls. What was there before is called first.
 * @param {object} owner A node or a widget.
 * @param {string} name The name of the function.
 * @param {() => void} action
 */
export function after(owner, name, action) {
  const hooks = /** @type {Record<string, ((...given: unknown[]) => unknown) | undefined>} */ (owner);
  const before = hooks[name];
  hooks[name] = function (...given) {
    before?.apply(this, given);
    action();
  };
}
