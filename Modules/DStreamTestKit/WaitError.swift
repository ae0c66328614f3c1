/// Why a wait of the kit has ended without what was waited for.
public struct WaitError: Error, CustomStringConvertible {
    /// What keeps it from coming.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case notStarted, stopped, streamFailed, checkpointFailed, notDue, receiverEnded
        }
        private let kind: Kind
        private init(_ kind: Kind) { self.kind = kind }

        /// The context was not started; call `start()` first.
        public static let notStarted = Code(.notStarted)
        /// The context was stopped, or could not start; make a new one.
        public static let stopped = Code(.stopped)
        /// Something has failed after which no later batch runs; the underlying error says what.
        public static let streamFailed = Code(.streamFailed)
        /// A checkpoint could not be written; its batch has ended, and later ones run.
        public static let checkpointFailed = Code(.checkpointFailed)
        /// The clock stands before batches that an earlier run has done; begin at a later time.
        public static let notDue = Code(.notDue)
        /// The receiver has ended and takes nothing any more.
        public static let receiverEnded = Code(.receiverEnded)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What keeps it from coming.
    public let code: Code
    /// What was waited for.
    public let awaited: String
    /// Why that cannot come, and what to do.
    public let reason: String
    /// The error below.
    public let underlying: (any Error)?

    init(_ code: Code, awaited: String, _ reason: String, underlying: (any Error)? = nil) {
        self.code = code
        self.awaited = awaited
        self.reason = reason
        self.underlying = underlying
    }

    /// What was waited for, why it cannot come, and the cause.
    public var description: String {
        let cause = underlying.map { ": \($0)" } ?? ""
        return "\(code): waited for \(awaited), which cannot come: \(reason)\(cause)"
    }
}
