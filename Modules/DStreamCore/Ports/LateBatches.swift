/// What becomes of a batch whose successor is due as well.
public enum LateBatches: Sendable, Hashable {
    /// It is generated, late: every batch time has its batch.
    case generate
    /// It is left out and reported; the newest batch due takes its blocks.
    case skip
}
