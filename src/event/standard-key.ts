// A key of Standard Webhooks, as people have it.

/** Its base64: `whsec_` may stand before it, and `v1,` before that, as Supabase gives its keys out. */
export function standardKeyText(secret: string): string {
  return secret.replace(/^(?:v1,)?whsec_/, "");
}
