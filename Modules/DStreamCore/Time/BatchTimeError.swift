/// An error of the arithmetic on batch times and intervals.
///
/// All of these are mistakes in a declaration, found before anything runs: a retry is pointless
/// and no state has changed.
public struct BatchTimeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong; more codes may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case zeroDuration, negativeDuration, fractionOfMillisecond, tooManyTimes
        }

        private let kind: Kind

        private init(_ kind: Kind) { self.kind = kind }

        /// A period, slide or step of zero, on which no grid of times can be built.
        public static let zeroDuration = Code(.zeroDuration)
        /// A period below zero where only a positive one makes sense.
        public static let negativeDuration = Code(.negativeDuration)
        /// A period that is not a whole number of milliseconds, or is out of their range.
        public static let fractionOfMillisecond = Code(.fractionOfMillisecond)
        /// A list of times longer than `BatchTime.listCountMaximum`.
        public static let tooManyTimes = Code(.tooManyTimes)

        /// The name of the code.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// What went wrong, with the offending values, for people.
    public let message: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: what went wrong.
    ///   - message: the same for people, with the offending values.
    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
