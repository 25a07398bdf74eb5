import { describe, expect, it } from "vitest";
import { choice, searchOf, valuesIn, whole } from "./params";

const specs = {
  requests: whole("Requests", { min: 2, max: 60, initial: 20 }),
  mode: choice("Cache", "down", [
    { value: "down", label: "Down" },
    { value: "lying", label: "Lying" },
  ]),
};

describe("a link to a scenario", () => {
  it("gives back the parameters that it was made with", () => {
    const values = { requests: 7, mode: "lying" };
    expect(valuesIn(new URLSearchParams(searchOf("cache", values)), specs)).toEqual(values);
  });

  it.each([
    ["nothing", ""],
    ["what is out of bounds", "requests=1000000&mode=sideways"],
    ["what is below them", "requests=1&mode="],
    ["what is no whole number", "requests=2.5&mode=DOWN"],
    ["what only looks like one", "requests=0x10&mode=toString"],
  ])("is read as the initial values where it gives %s", (_, search) => {
    expect(valuesIn(new URLSearchParams(search), specs)).toEqual({ requests: 20, mode: "down" });
  });
});
