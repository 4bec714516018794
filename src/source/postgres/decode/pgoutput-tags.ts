// The letters by which frames and pgoutput's messages are told apart, as bytes.

const tag = (letter: string): number => letter.charCodeAt(0);

/** A frame with a part of the log; one that only says where its end is. */
export const XLOG: number = tag("w");
export const KEEPALIVE: number = tag("k");

export const BEGIN: number = tag("B");
export const COMMIT: number = tag("C");
export const RELATION: number = tag("R");
export const TYPE: number = tag("Y");
export const ORIGIN: number = tag("O");
export const MESSAGE: number = tag("M");
export const INSERT: number = tag("I");
export const UPDATE: number = tag("U");
export const DELETE: number = tag("D");
export const TRUNCATE: number = tag("T");

/** Before a row: the new one, the key of the old one, the whole old one. */
export const NEW: number = tag("N");
export const KEY: number = tag("K");
export const OLD: number = tag("O");
