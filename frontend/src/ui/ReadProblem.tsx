import { Alert } from "@mantine/core";
import { CloudOff } from "lucide-react";
import { isMissing, ReadFailed } from "../api/problem";

/** Says that something could not be read. `stale`: an older state is shown meanwhile. */
export function ReadProblem({ error, stale }: { error: Error | null; stale: boolean }) {
  if (error === null) {
    return null;
  }
  const missing = isMissing(error);
  const why = error instanceof ReadFailed ? error.message : "The service does not answer";
  return (
    <Alert color="yellow" icon={<CloudOff size={18} aria-hidden />} role="status">
      {why}.{" "}
      {missing
        ? ""
        : stale
          ? "What is shown may be out of date; it is asked for again and again."
          : "Trying again."}
    </Alert>
  );
}
