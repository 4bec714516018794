// What a receiver is asked, and what it says: the contract between the HTTP server and the providers.

/** Every provider that a receiver may name. */
export type ProviderName =
  | "stripe"
  | "github"
  | "slack"
  | "pagerduty"
  | "alertmanager"
  | "grafana"
  | "datadog"
  | "shopify"
  | "standard"
  | "cloudevents"
  | "hmac"
  | "bearer"
  | "basic";

/** Where a value stands in a request: a header's name in any case, or an RFC 6901 pointer into a JSON body. */
export type Place = { readonly header: string } | { readonly pointer: string };

/** One entry of `webhooks` as the configuration has it, its secrets read. One of `secret`, `bearer`, `basic` is there: which, says its provider. */
export interface ReceiverSection {
  readonly provider: ProviderName;
  /** What signs: each is tried. */
  readonly secret?: readonly string[] | undefined;
  /** Tokens: each is tried. */
  readonly bearer?: readonly string[] | undefined;
  /** `user:password`: each is tried. */
  readonly basic?: readonly string[] | undefined;
  /** hmac: the header with the digest. */
  readonly header?: string | undefined;
  /** hmac; default `sha256`. */
  readonly algorithm?: "sha1" | "sha256" | "sha384" | "sha512" | undefined;
  /** hmac; default `hex`. */
  readonly encoding?: "hex" | "base64" | undefined;
  /** hmac: what stands before the digest, like `sha256=`. */
  readonly prefix?: string | undefined;
  /** hmac: what is signed; `{body}` and `{timestamp}` stand for those. Default `{body}`. */
  readonly signed?: string | undefined;
  /** hmac, grafana: Unix seconds; a request that is older or newer than this is refused. */
  readonly timestamp?: { readonly header: string; readonly toleranceSeconds: number } | undefined;
  /** hmac, bearer, basic. */
  readonly id?: Place | undefined;
  readonly type?: Place | undefined;
  /** Default: 1 MiB, for github 25 MiB. */
  readonly maxBytes?: number | undefined;
  readonly rate?: { readonly limit: number; readonly perMs: number } | undefined;
  readonly replayGuard?: boolean | undefined;
}

export interface IncomingRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case name to all values as they came, one for each line. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: Buffer;
}

/** One event of a request. */
export interface Arrived {
  /** The provider's; undefined: the caller takes the SHA-256 of the raw body. */
  readonly id: string | undefined;
  /** `_` where none can be found. */
  readonly type: string;
  /** The event's JSON text, byte for byte as it came; undefined when it is no JSON. */
  readonly json: Buffer | undefined;
  /** What came instead of JSON. */
  readonly raw: Buffer | undefined;
  /** Lower-case names; the content type and the provider's own. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Why a request is refused: also a metric's label. */
export type RefusalReason = "signature" | "timestamp" | "token" | "media" | "body" | "depth" | "event";

export interface Refused {
  readonly kind: "refused";
  readonly status: 400 | 401 | 415 | 422;
  readonly reason: RefusalReason;
}

/** A handshake, or a request without an event in it: answered, and nothing is stored. */
export interface Answer {
  readonly kind: "answer";
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly body: string;
}

/** At least one. */
export interface Events {
  readonly kind: "events";
  readonly events: readonly Arrived[];
}

export type Verdict = Refused | Answer | Events;

export interface Receiver {
  readonly name: string;
  readonly provider: ProviderName;
  readonly maxBytes: number;
  /** What its provider sends again: some retry 5xx alone. */
  readonly overLimit: 429 | 503;
  /** Take a verified body that was seen before as a duplicate, whatever its id. */
  readonly replayGuard: boolean;
  readonly rate?: { readonly limit: number; readonly perMs: number };
  /** Answers OPTIONS, unverified; absent: only POST is allowed. */
  options?(request: IncomingRequest): Verdict;
  /** Before the body is read: whether its provider ever sends this content type. */
  acceptsMedia(contentType: string | undefined): boolean;
  /** Verifies, answers a handshake, says what the events are. Never throws. @param nowMs since 1970 */
  judge(request: IncomingRequest, nowMs: number): Verdict;
}
