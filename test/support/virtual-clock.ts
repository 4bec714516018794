// Time that only a test moves: the test kit's own.

export { VirtualClock } from "../../src/testing/virtual-clock.ts";
