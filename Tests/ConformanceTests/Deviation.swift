/// A way in which we differ from Spark on purpose.
///
/// Each has one rule, in the adapter that uses it: what comes out instead, computed from the
/// parameters and inputs of a case. The text is the page's on parity.
enum Deviation: String, CaseIterable, Sendable {
    case completedIsNotRerun =
        "A completed batch is not run again after recovery (difference 2)."
    case ownFormats =
        "The layout of our durable formats is our own; the records are the same (difference 7)."
    case panesAreEarly =
        """
        Batches that the next window will ask for are computed at their own time when there are \
        checkpoints, so that a restart in between finds them (difference 11).
        """
    case failedIsNotDone =
        """
        A failed batch is never counted as done, and a failed state batch does not poison later \
        ones (difference 1).
        """
    case notGeneratedIsPending =
        "A batch whose generation failed is not lost but pending (difference 2)."
    case inverseIsPlain =
        "Windows with an inverse give what the plain form gives (difference 3)."
    case hiddenNames =
        """
        Names that begin with `_` or `.` are never read, instead of failing the batch \
        (difference 5).
        """
    case valuesAsGiven =
        "A rate limit of 30 reads back as 30, and a slide of zero is refused (difference 6)."
    case noNull = "There is no null (difference 10)."
    case textOutput =
        """
        Hadoop's text output is covered by ours: the same lines in files without `-r-` in their \
        names.
        """
}
