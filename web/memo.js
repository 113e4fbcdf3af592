/**
 * once gives a pure function that computes its answer for an object only once.
 * @template {object} T
 * @template R
 * @param {(value: T) => R} f
 * @returns {(value: T) => R}
 */
export function once(f) {
  const known = /** @type {WeakMap<T, R>} */ (new WeakMap());
  return (value) => {
    if (!known.has(value)) known.set(value, f(value));
    return /** @type {R} */ (known.get(value));
  };
}
