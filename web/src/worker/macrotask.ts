/**
 * Lets the worker's other messages through: resolves in a later task, not in a later microtask. `setTimeout` would wait
 * at least 4 ms each time, a message to oneself does not.
 */
export function macrotaskYielder(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
}
