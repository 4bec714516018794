// A collection's full name as one text: `public.orders`, in double quotes where a dot would be in the way.

export interface CollectionName {
  readonly namespace: string;
  readonly collection: string;
}

/** Behind the first dot outside of quotes everything is the collection's. */
const pattern = /^(?:"((?:[^"]|"")+)"|([^."]+))\.(?:"((?:[^"]|"")+)"|([^"].*))$/s;

/** Undefined where the text is no such name. */
export function parseCollectionName(text: string): CollectionName | undefined {
  const [, quotedNamespace, namespace, quotedCollection, collection] = pattern.exec(text) ?? [];
  const first = unquoted(quotedNamespace) ?? namespace;
  const second = unquoted(quotedCollection) ?? collection;
  return first === undefined || second === undefined ? undefined : { namespace: first, collection: second };
}

/** What `parseCollectionName` reads back. */
export function formatCollectionName({ namespace, collection }: CollectionName): string {
  const first = /[."]/.test(namespace) ? quoted(namespace) : namespace;
  return `${first}.${collection.startsWith('"') ? quoted(collection) : collection}`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function unquoted(name: string | undefined): string | undefined {
  return name?.replaceAll('""', '"');
}
