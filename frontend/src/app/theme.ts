import { createTheme, Drawer, Modal, Tooltip } from "@mantine/core";

const closeButtonProps = { "aria-label": "Close this window" };

/** The look is in theme.css, as style sheets are what the content security policy takes; here is what components do. */
export const theme = createTheme({
  primaryColor: "teal",
  respectReducedMotion: true,
  components: {
    // Locking the scroll needs an inline style sheet.
    Modal: Modal.extend({
      defaultProps: {
        lockScroll: false,
        centered: true,
        transitionProps: { duration: 120 },
        closeButtonProps,
      },
    }),
    Drawer: Drawer.extend({
      defaultProps: {
        lockScroll: false,
        position: "right",
        transitionProps: { duration: 120 },
        closeButtonProps,
      },
    }),
    Tooltip: Tooltip.extend({
      defaultProps: {
        events: { hover: true, focus: true, touch: true },
        multiline: true,
        maw: 320,
        withArrow: true,
      },
    }),
  },
});
