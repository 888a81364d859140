import type { Numbers } from "./numbers.js";

/**
 * An arc that leaves every cell (t, u) of a lattice for (t + frames, u + labels). It is there where it ends in a cell, and, if it
 * `mayEnd`, where it ends the lattice: t + frames = T and u + labels = U.
 */
export interface Arc {
  /** Frames that it takes. */
  readonly frames: number;
  /** Labels that it emits. 1 needs a next label. */
  readonly labels: 0 | 1;
  /**
   * Where its score is from: a symbol of the row, the next label, all symbols together but for the blank and the next label, or nowhere
   * (it weighs its constant only, and has no gradient).
   */
  readonly token: number | "nextLabel" | "others" | "none";
  /** Duration channel whose log-probability is added; they follow the V symbols in a row. */
  readonly duration?: number | undefined;
  /** A symbol that is read in the row one position on, and added. */
  readonly then?: number | undefined;
  /** Added to its log weight, nats; default 0. */
  readonly constant?: number | undefined;
  /** Default false. */
  readonly mayEnd?: boolean | undefined;
}

/** The usual arcs. */
export const Arc = {
  /** Takes frames and emits a symbol; may end the lattice. The blank is `Arc.stay(1, blank)`. */
  stay: (frames: number, symbol: number): Arc => ({ frames, labels: 0, token: symbol, mayEnd: true }),
  /** Emits the next label and takes frames; may not end the lattice. */
  label: (frames: number): Arc => ({ frames, labels: 1, token: "nextLabel" }),
  /** Skips frames and labels without looking at the scores, at the price of `weight`, a natural log; may not end the lattice. */
  free: (frames: number, labels: 0 | 1, weight: number): Arc => ({ frames, labels, token: "none", constant: weight }),
} as const;

/** What any kind may be changed by. */
export interface KindChanges {
  /** More arcs. */
  readonly withArcs?: readonly Arc[] | undefined;
  /** The blank apart from the labels' softmax, as in `hat`. */
  readonly withHat?: boolean | undefined;
  /** Nats that are taken off the log-probability of every symbol, so that fewer symbols win (multi-blank and TDT papers). */
  readonly underNormalised?: number | undefined;
  /** Probability that an utterance is taken as plain RNN-T (TDT paper's omega); which, says the `seed` of the batch. */
  readonly sometimesRnnt?: number | undefined;
}

/** A kind of lattice: which arcs leave a cell. `type` says which, as do the functions of `Kind` in the Rust crate. */
export type Kind = KindChanges &
  (
    | {
        /**
         * `rnnt` (Graves 2012): the blank takes a frame, labels none. `hat` (Variani et al. 2020): the blank is apart from the labels'
         * softmax. `monotonic` (modified, RNA): a label takes a frame too. `constrained` (k2): every label is followed by a blank in
         * the same frame. The last two need as many frames as labels.
         */
        readonly type: "rnnt" | "hat" | "monotonic" | "constrained";
      }
    | {
        /** Blanks that take several frames at once, beside the blank (Xu et al. 2022). */
        readonly type: "multiBlank";
        /** [symbol, frames] of each, frames of at least 2. */
        readonly bigBlanks: readonly (readonly [symbol: number, frames: number])[];
      }
    | {
        /** Token-and-duration transducer (Xu et al. 2023). A row has V + D scores: those of the durations follow those of the symbols. */
        readonly type: "tdt";
        /** Frames of each duration, ascending; one of them at least 1. */
        readonly durations: readonly number[];
      }
    | {
        /**
         * `star`: frames of which the transcript says nothing may be skipped; `bypass`: labels that nobody said may (Bataev et al. 2025).
         * `bypassOthers`: the same, for the probability of all symbols but the blank and the label.
         */
        readonly type: "star" | "bypass" | "bypassOthers";
        /** Of each skipped frame or label, a natural log. */
        readonly weight: number;
      }
    | {
        /** Both of `star` and `bypass`. */
        readonly type: "targetRobust";
        /** Of each skipped frame, a natural log. */
        readonly frameWeight: number;
        /** Of each skipped label, a natural log. */
        readonly labelWeight: number;
      }
    | {
        /** The transcript covers a part of the frames only: the lattice may be entered and left anywhere (Laptev et al. 2023). */
        readonly type: "wTransducer";
        /** Of the way in and of the way out, a natural log. */
        readonly weight: number;
        /** Whether the way out leads to the last frame, whose blank is still to come, or to the end. */
        readonly exit: "lastFrame" | "end";
      }
    | {
        /** Any set of arcs. */
        readonly type: "custom";
        readonly arcs: readonly Arc[];
        /** Frames of the duration channels, which follow the V symbols of a row; default none. */
        readonly durations?: readonly number[] | undefined;
      }
  );

const TYPES = ["rnnt", "hat", "monotonic", "constrained", "multiBlank", "tdt", "star", "bypass", "bypassOthers", "targetRobust", "wTransducer", "custom"];

function writeArc(numbers: Numbers, arc: Arc, argument: string): void {
  const word = (name: "duration" | "then"): unknown => numbers.optional(arc[name], (value) => numbers.word(`${argument}.${name}`, value));
  numbers.word(`${argument}.frames`, arc.frames).word(`${argument}.labels`, arc.labels);
  if (typeof arc.token === "number") numbers.number("", 0).word(`${argument}.token`, arc.token);
  else numbers.choice(`${argument}.token`, ["a symbol", "nextLabel", "others", "none"], arc.token);
  word("duration");
  word("then");
  numbers.number(`${argument}.constant`, arc.constant ?? 0).flag(arc.mayEnd);
}

/** @internal Appends a kind as `src/kind.rs` reads it. */
export function writeKind(numbers: Numbers, kind: Kind): void {
  numbers.choice("kind.type", TYPES, kind?.type);
  const arcs = (argument: string, list: readonly Arc[]): unknown => numbers.list(argument, list, (arc, name) => writeArc(numbers, arc, name));
  const words = (argument: string, list: readonly number[]): unknown => numbers.list(argument, list, (value, name) => numbers.word(name, value));
  switch (kind.type) {
    case "multiBlank":
      numbers.list("bigBlanks", kind.bigBlanks, ([symbol, frames], name) => numbers.word(name, symbol).word(name, frames));
      break;
    case "tdt":
      words("durations", kind.durations);
      break;
    case "star":
    case "bypass":
    case "bypassOthers":
      numbers.number("weight", kind.weight);
      break;
    case "targetRobust":
      numbers.number("frameWeight", kind.frameWeight).number("labelWeight", kind.labelWeight);
      break;
    case "wTransducer":
      numbers.number("weight", kind.weight).choice("exit", ["lastFrame", "end"], kind.exit);
      break;
    case "custom":
      arcs("arcs", kind.arcs);
      words("durations", kind.durations ?? []);
      break;
  }
  arcs("withArcs", kind.withArcs ?? []);
  numbers.flag(kind.withHat);
  numbers.optional(kind.underNormalised, (sigma) => numbers.number("underNormalised", sigma));
  numbers.optional(kind.sometimesRnnt, (omega) => numbers.number("sometimesRnnt", omega));
}
