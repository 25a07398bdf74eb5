import { Alert, Button, Code, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { signIn, wasRefused } from "../api/session";
import logo from "../wallet.svg";
import classes from "./SignInPage.module.css";

const KEY_PATTERN = /^[!-~]{1,256}$/;

/** Asks for the API key where the address brought none. */
export function SignInPage() {
  const [key, setKey] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (KEY_PATTERN.test(key.trim())) {
      signIn(key);
    } else {
      setWrong(key.trim() === "" ? "Enter an API key" : "An API key has no spaces or special letters");
    }
  };
  return (
    <main className={classes.page}>
      <Paper withBorder shadow="sm" p="xl" className={classes.card}>
        <form onSubmit={submit} noValidate>
          <Stack>
            <img src={logo} alt="" className={classes.logo} />
            <Stack gap={4}>
              <Title order={1} size="h2">
                Sign in
              </Title>
              <Text c="dimmed" size="sm">
                The key stays in this tab, and is sent to this service only.
              </Text>
            </Stack>
            {wasRefused() && (
              <Alert color="red" role="alert">
                The service does not take this API key: it is unknown, or was revoked.
              </Alert>
            )}
            <PasswordInput
              label="API key"
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              error={wrong}
              autoComplete="off"
              data-autofocus
              autoFocus
            />
            <Button type="submit">Sign in</Button>
            <Text c="dimmed" size="sm">
              <Code>make run</Code> prints a link that signs in. <Code>wallet keys create</Code> makes another
              key.
            </Text>
          </Stack>
        </form>
      </Paper>
    </main>
  );
}
