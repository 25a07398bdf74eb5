import type { Scenario } from "../scenario";
import { doubleSpend, hotWallet, racers, retryStorm } from "./crowds";
import { cacheFailure, fence, lostAnswer, slowCommit, staleTab } from "./failures";

/** All scenarios, in the order of the page. */
export const SCENARIOS: readonly Scenario[] = [
  retryStorm,
  racers,
  hotWallet,
  lostAnswer,
  slowCommit,
  cacheFailure,
  staleTab,
  fence,
  doubleSpend,
];
