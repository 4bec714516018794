// What is the same in every shop, whatever it runs on: what happens how often, what a till knows, and the pace at which it writes.

import { realClock } from "../clock.ts";
import { upTo } from "./shop-database.ts";

/** They are there before the source begins, with the ids from 1 on. */
export const PRODUCTS = 200;
/** How many tills write at the same time. */
export const TILLS = 4;
/** How many of a hundred transactions are rolled back. */
export const ROLLED_BACK_PERCENT = 8;
/** Between the starts of two transactions of one till. */
const EVERY_MS = 40;
const MOST_CUSTOMERS = 1000;

/** What one connection knows of the shop: the customers that it may sell to, and the orders that it has placed. */
export interface Till<Customer, Order = Customer> {
  readonly customers: Customer[];
  readonly pending: Order[];
}

export function addCustomers<Customer>({ customers }: Till<Customer, unknown>, added: readonly Customer[]): void {
  customers.push(...added);
  customers.splice(0, Math.max(0, customers.length - MOST_CUSTOMERS));
}

export function anyCustomer<Customer>({ customers }: Till<Customer, unknown>): Customer | undefined {
  return customers[upTo(customers.length) - 1];
}

/** The oldest order waiting, so that two tills never want the same. */
export function takeOrder<Order>({ pending }: Till<unknown, Order>): Order | undefined {
  return pending.shift();
}

/** What the till knows now comes back when the function is called: its transaction was none. */
export function rememberTill<Customer, Order>(till: Till<Customer, Order>): () => void {
  const [customers, pending] = [[...till.customers], [...till.pending]];
  return () => {
    till.customers.splice(0, till.customers.length, ...customers);
    till.pending.splice(0, till.pending.length, ...pending);
  };
}

export interface Happenings<Happening> {
  readonly order: Happening;
  readonly pay: Happening;
  readonly register: Happening;
  readonly cancel: Happening;
  readonly reprice: Happening;
  readonly importCustomers: Happening;
}

/** How often what happens, out of a hundred. */
export function howOften<Happening>(
  one: Happenings<Happening>,
): readonly (readonly [happening: Happening, percent: number])[] {
  return [
    [one.order, 40],
    [one.pay, 30],
    [one.register, 12],
    [one.cancel, 8],
    [one.reprice, 9],
    [one.importCustomers, 1],
  ];
}

/** Lets one till write, transaction after transaction at a steady pace, until the signal. */
export async function writeSteadily(signal: AbortSignal, transaction: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    const startedMs = performance.now();
    await transaction();
    const restMs = EVERY_MS * (0.5 + Math.random()) - (performance.now() - startedMs);
    await realClock.sleep(Math.max(0, restMs), signal);
  }
}
