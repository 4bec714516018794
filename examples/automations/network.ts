// What the examples ask of a network. Put your own controller behind it: here it is HTTP.

/** Each may throw, and gives up with the signal. */
export interface Network {
  reachable(device: string, signal: AbortSignal): Promise<boolean>;
  /** Whether a session of the device is established. */
  established(peer: string, signal: AbortSignal): Promise<boolean>;
  /** Starts a session anew; doing it twice does no harm. */
  reset(peer: string, signal: AbortSignal): Promise<void>;
}

const url = process.env.NETWORK_URL ?? "http://127.0.0.1:8080";

async function ask(path: string, signal: AbortSignal, method = "GET"): Promise<Response> {
  const answer = await fetch(`${url}${path}`, { method, signal });
  if (answer.status >= 500) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer;
}

export const network: Network = {
  reachable: async (device, signal) => (await ask(`/devices/${encodeURIComponent(device)}`, signal)).ok,
  established: async (peer, signal) => (await ask(`/peers/${encodeURIComponent(peer)}`, signal)).ok,
  reset: async (peer, signal) => void (await ask(`/peers/${encodeURIComponent(peer)}/reset`, signal, "POST")),
};
