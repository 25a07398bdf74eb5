import { Anchor, Stack, Text, Title } from "@mantine/core";
import { Link } from "wouter";

export function NotFoundPage() {
  return (
    <Stack gap="xs">
      <Title order={1}>There is no such page</Title>
      <Text>
        <Anchor component={Link} href="/">
          To the wallets
        </Anchor>
      </Text>
    </Stack>
  );
}
