import classes from "./ui.module.css";

const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A time of the service, in the reader's zone and way of writing. */
export function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at} className={classes.when}>
      {short.format(new Date(at))}
    </time>
  );
}
