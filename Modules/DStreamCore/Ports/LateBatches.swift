/// What becomes of a batch whose successor is due as well.
public enum LateBatches: Sendable, Hashable {
    /// It is generated, late: every batch time has its batch.
    case generate
    /// It is skipped and reported; the newest batch due takes its blocks, files and offsets, these
    /// within their rate limits. After a restart, a batch that was begun before is not skipped.
    case skip
}
