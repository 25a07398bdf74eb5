import type { components } from "./schema";

type Schemas = components["schemas"];

export type Wallet = Schemas["Wallet"];
export type WalletEntry = Schemas["WalletEntry"];
export type Transaction = Schemas["Transaction"];
export type Hold = Schemas["Hold"];
export type Decided = Schemas["Decided"];
export type WalletStatus = Wallet["status"];
export type Kind = Transaction["kind"];
export type WalletCheck = Schemas["WalletCheck"];
export type WalletVerification = Schemas["WalletVerification"];
