import { Skeleton, Text, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { CHART_ENTRIES_MAX, entriesQuery } from "../api/reads";
import type { Wallet, WalletEntry } from "../api/shapes";
import { formatAmount } from "../money/amount";
import { digitsOf } from "../money/currency";
import { timeInWords } from "../ui/When";
import classes from "./wallet.module.css";

const HEIGHT_PX = 220;
const LEGEND_PX = 32;
/** Half of the widest label of a time, which may stand at the right edge. */
const LABEL_PX = 40;

/** By the distance, in seconds, below which they are used. */
const TICK_FORMATS: readonly [
  readonly [number, Intl.DateTimeFormat],
  ...(readonly [number, Intl.DateTimeFormat])[],
] = [
  [
    1,
    new Intl.DateTimeFormat(undefined, { minute: "numeric", second: "numeric", fractionalSecondDigits: 1 }),
  ],
  [60, new Intl.DateTimeFormat(undefined, { timeStyle: "medium" })],
  [86_400, new Intl.DateTimeFormat(undefined, { timeStyle: "short" })],
  [
    Number.POSITIVE_INFINITY,
    new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", year: "numeric" }),
  ],
];

/** The balance after each of the latest entries, as a step at the time of the entry. */
export default function BalanceChart({ wallet }: { wallet: Wallet }) {
  const { data } = useQuery(entriesQuery(wallet.id, wallet.version, undefined, CHART_ENTRIES_MAX));
  const scheme = useComputedColorScheme("light");
  const { ref: box, width } = useElementSize();
  const canvas = useRef<HTMLDivElement>(null);
  const entries = data?.items;
  const { currency } = wallet;
  useEffect(() => {
    if (canvas.current === null || entries === undefined || width === 0) {
      return;
    }
    const plot = new uPlot(
      options(width, currency, colors(canvas.current, scheme)),
      steps(entries),
      canvas.current,
    );
    return () => plot.destroy();
  }, [entries, width, currency, scheme]);
  if (entries === undefined) {
    return <Skeleton height={HEIGHT_PX + LEGEND_PX} />;
  }
  return (
    <figure style={{ margin: 0 }} ref={box}>
      {/* A picture to those who see it; the sentence and the table of entries say the same in words. */}
      <div ref={canvas} role="img" aria-label={inWords(entries, currency)} className={classes.chart} />
      <Text component="figcaption" size="xs" c="dimmed">
        {entries.length === CHART_ENTRIES_MAX ? `The latest ${CHART_ENTRIES_MAX} entries` : "All entries"}
      </Text>
    </figure>
  );
}

function inWords(entries: readonly WalletEntry[], currency: string): string {
  const balances = entries.map((entry) => entry.balance_after);
  const [now = 0, first = now] = [balances[0], balances.at(-1)];
  const [from, to, low, high] = [first, now, Math.min(...balances), Math.max(...balances)].map((minor) =>
    formatAmount(BigInt(minor), currency),
  );
  return `Balance over ${entries.length} entries: from ${from} to ${to}, at least ${low}, at most ${high}`;
}

/** Times in seconds, oldest first, and balances in minor units. */
function steps(entries: readonly WalletEntry[]): uPlot.AlignedData {
  const oldest = entries.toReversed();
  const times = oldest.map((entry) => Date.parse(entry.created_at) / 1000);
  const balances = oldest.map((entry) => entry.balance_after);
  // The last balance holds until now, of which as much is shown as leaves room for what happened.
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  const end = Math.min(Date.now() / 1000, last + Math.max(60, (last - first) * 0.1));
  return [
    [...times, Math.max(end, last)],
    [...balances, balances.at(-1) ?? 0],
  ];
}

interface Colors {
  line: string;
  fill: string;
  grid: string;
  text: string;
}

/** The canvas does not know the page's variables. `scheme` is what they depend on. */
function colors(element: Element, _scheme: string): Colors {
  const style = getComputedStyle(element);
  return {
    line: style.getPropertyValue("--chart-line"),
    fill: style.getPropertyValue("--chart-fill"),
    grid: style.getPropertyValue("--line"),
    text: style.getPropertyValue("--mantine-color-dimmed"),
  };
}

function options(width: number, currency: string, { line, fill, grid, text }: Colors): uPlot.Options {
  // A tick may lie between two minor units; the label shows the nearest, and no sum is ever made of it.
  const label = (value: number) => formatAmount(BigInt(Math.round(value)), currency);
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  const font = "12px system-ui, sans-serif";
  return {
    width,
    height: HEIGHT_PX,
    padding: [null, LABEL_PX, null, null],
    legend: { markers: { show: false } },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => padded(low, high, currency) } },
    axes: [
      {
        stroke: text,
        font,
        grid: { show: false },
        ticks: { stroke: grid },
        space: 96,
        size: 36,
        values: (_, splits, __, ___, increment) =>
          splits.map((seconds) => tickFormat(increment).format(new Date(seconds * 1000))),
      },
      {
        stroke: text,
        font,
        grid: { stroke: grid },
        ticks: { show: false },
        size: (_, values) => Math.max(40, ...(values ?? []).map((value) => value.length * 7 + 16)),
        values: (_, splits) => splits.map(label),
        incrs: wholeSteps(currency),
      },
    ],
    series: [
      { label: "At", value: (plot, seconds) => timeInWords(new Date((seconds ?? latest(plot, 0)) * 1000)) },
      {
        label: "Balance",
        value: (plot, minor) => label(minor ?? latest(plot, 1)),
        stroke: line,
        fill,
        width: 2,
        points: { show: false },
        ...(stepped && { paths: stepped }),
      },
    ],
  };
}

/** How times at this distance, in seconds, are told apart, in the reader's way of writing. */
function tickFormat(increment: number): Intl.DateTimeFormat {
  const [, format] = TICK_FORMATS.find(([below]) => increment < below) ?? TICK_FORMATS[0];
  return format;
}

/** What the legend shows while nobody points at anything. */
function latest(plot: uPlot, series: 0 | 1): number {
  return plot.data[series]?.at(-1) ?? 0;
}

/** From zero, unless it goes below, with room above; one unit high at least, so that a flat line has a scale. */
function padded(low: number, high: number, currency: string): [number, number] {
  const unit = 10 ** digitsOf(currency);
  const [bottom, top] = [Math.min(0, low), Math.max(high, 0)];
  const room = Math.max(unit, top - bottom) * 0.08;
  return [bottom < 0 ? bottom - room : 0, Math.max(top + room, bottom + unit)];
}

/** Distances of grid lines, in minor units: 1, 2 and 5 times the powers of ten. */
function wholeSteps(currency: string): number[] {
  const powers = Array.from({ length: 16 }, (_, power) => 10 ** power);
  const smallest = digitsOf(currency) === 0 ? 1 : 10 ** (digitsOf(currency) - 1);
  return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((step) => step >= smallest);
}
