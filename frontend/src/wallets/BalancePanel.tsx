import type { ReactNode } from "react";
import type { Wallet } from "../api/shapes";
import { Money } from "../ui/Money";
import { When } from "../ui/When";
import { sumsOf } from "./rules";
import classes from "./wallet.module.css";

/** What a wallet has, and what bounds it. */
export function BalancePanel({ wallet }: { wallet: Wallet }) {
  const { currency } = wallet;
  const { balance, held, available, floor, ceiling } = sumsOf(wallet);
  return (
    <dl className={classes.figures}>
      <div className={classes.wide}>
        <dt>Balance</dt>
        <dd className={classes.hero} data-testid="balance">
          <Money minor={balance} currency={currency} />
        </dd>
        <dd className={classes.note} data-testid="version">
          Version {wallet.version}, <When at={wallet.updated_at} />
        </dd>
      </div>
      <Figure name="Available" testId="available">
        <Money minor={available} currency={currency} />
      </Figure>
      <Figure name="Held" testId="held">
        <Money minor={held} currency={currency} c={held === 0n ? "dimmed" : undefined} />
      </Figure>
      <Figure name="Limits" testId="limits">
        <span className={classes.note}>
          {floor === 0n ? (
            "No overdraft"
          ) : (
            <>
              Overdraft <Money minor={-floor} currency={currency} />
            </>
          )}
          <br />
          {ceiling === null ? (
            "No ceiling"
          ) : (
            <>
              Ceiling <Money minor={ceiling} currency={currency} />
            </>
          )}
        </span>
      </Figure>
    </dl>
  );
}

function Figure({ name, testId, children }: { name: string; testId: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-testid={testId}>{children}</dd>
    </div>
  );
}
