//! The parent graph: base parents (DRG) and expander parents of every node.
