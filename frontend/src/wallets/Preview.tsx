import type { Wallet } from "../api/shapes";
import { Money } from "../ui/Money";
import { after, type Change, sumsOf } from "./rules";
import classes from "./wallet.module.css";

/** What a change would do to a wallet, before it is asked for. No change: the wallet as it is. */
export function Preview({ wallet, change }: { wallet: Wallet; change: Change | null }) {
  const now = sumsOf(wallet);
  const then = change && after(now, change);
  const rows = [
    { name: "Balance", from: now.balance, to: then?.balance },
    { name: "Held", from: now.held, to: then?.held },
    { name: "Available", from: now.available, to: then?.available },
  ];
  return (
    <dl className={classes.preview} aria-label={`Effect on version ${wallet.version}`}>
      {rows
        .filter(({ name, from, to }) => name !== "Held" || from !== 0n || (to !== undefined && to !== 0n))
        .map(({ name, from, to }) => (
          <div key={name} className={classes.pair}>
            <dt>{name}</dt>
            <dd data-testid={`preview-${name.toLowerCase()}`}>
              <Money minor={from} currency={wallet.currency} c={isSame(from, to) ? undefined : "dimmed"} />
              {!isSame(from, to) && to !== undefined && (
                <>
                  {" → "}
                  <Money minor={to} currency={wallet.currency} fw={700} />
                </>
              )}
            </dd>
          </div>
        ))}
    </dl>
  );
}

function isSame(from: bigint, to: bigint | undefined): boolean {
  return to === undefined || from === to;
}
