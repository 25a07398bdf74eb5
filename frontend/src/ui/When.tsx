import classes from "./ui.module.css";

const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A time in the reader's zone and way of writing, to the second. */
export function timeInWords(at: Date): string {
  return short.format(at);
}

/** A time of the service, in the reader's zone and way of writing. */
export function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at} className={classes.when}>
      {timeInWords(new Date(at))}
    </time>
  );
}
