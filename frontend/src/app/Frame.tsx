import { ActionIcon, Badge, Container, Tooltip } from "@mantine/core";
import { LogOut } from "lucide-react";
import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { Link, useLocation, useRoute } from "wouter";
import { signOut } from "../api/session";
import { useOpenIntents } from "../intents/context";
import logo from "../wallet.svg";
import { ColorSchemeButton } from "./ColorSchemeButton";
import classes from "./Frame.module.css";
import { useOnline } from "./online";

/** What all pages have around them. */
export function Frame({ children }: { children: ReactNode }) {
  const main = useRef<HTMLDivElement>(null);
  useFocusOnNewPage(main);
  return (
    <>
      {/* No link, since the fragment of the address is where a key comes in: it moves the focus itself. */}
      <button type="button" className={classes.skip} onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header className={classes.header}>
        <Container size="lg" className={classes.bar}>
          <Link href="/" className={classes.brand} aria-label="Wallet Service">
            <img src={logo} alt="" />
            <span className={classes.wide}>Wallet Service</span>
          </Link>
          <nav className={classes.nav} aria-label="Pages">
            <PageLink href="/" pattern="/(wallets/.*)?" label="Wallets" />
            <PageLink href="/lab" pattern="/lab" label="Lab" />
          </nav>
          <Pending />
          <ColorSchemeButton />
          <Tooltip label="Sign out">
            <ActionIcon variant="default" size="lg" aria-label="Sign out" onClick={() => signOut("asked")}>
              <LogOut size={18} aria-hidden />
            </ActionIcon>
          </Tooltip>
        </Container>
      </header>
      <Container component="main" size="lg" className={classes.main} ref={main} tabIndex={-1}>
        {children}
      </Container>
    </>
  );
}

function PageLink({ href, pattern, label }: { href: string; pattern: string; label: string }) {
  const [active] = useRoute(new RegExp(`^${pattern}$`));
  return (
    <Link
      href={href}
      className={classes.link}
      data-active={active || undefined}
      aria-current={active ? "page" : undefined}
    >
      {label}
    </Link>
  );
}

/** Says on every page that the browser is offline, or that writes are not settled yet. */
function Pending() {
  const online = useOnline();
  const open = useOpenIntents().length;
  return (
    <output aria-live="polite" className={classes.pending}>
      {!online ? (
        <Badge color="yellow" variant="light" size="lg" tt="none">
          Offline
        </Badge>
      ) : (
        open > 0 && (
          <Badge color="yellow" variant="light" size="lg" tt="none">
            {open} pending
          </Badge>
        )
      )}
    </output>
  );
}

/** On another page the keyboard starts at its content, as after any link. A drawer beside the page is the same page. */
function useFocusOnNewPage(main: RefObject<HTMLElement | null>) {
  const [location] = useLocation();
  const page = location.split("/").slice(0, 3).join("/");
  const shown = useRef(page);
  useEffect(() => {
    if (shown.current !== page) {
      shown.current = page;
      main.current?.focus();
    }
  }, [page, main]);
}
