/** A random UUID, also where the page is no secure context and `crypto.randomUUID` is missing. */
export function newId(): string {
  const crypto: Pick<Crypto, "getRandomValues"> & Partial<Crypto> = globalThis.crypto;
  if (crypto.randomUUID !== undefined) {
    return crypto.randomUUID();
  }
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return bytes.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
