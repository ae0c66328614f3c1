/// A rate estimator that cannot be made from its configuration.
///
/// Found while declaring: a retry is pointless and no state has changed.
public struct RateEstimatorError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong; more codes may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case invalidBatchInterval, invalidWeight, invalidMinimumRate, unknownEstimator
        }

        private let kind: Kind

        private init(_ kind: Kind) { self.kind = kind }

        /// A batch interval that is not above zero.
        public static let invalidBatchInterval = Code(.invalidBatchInterval)
        /// A weight that is below zero or not finite.
        public static let invalidWeight = Code(.invalidWeight)
        /// A minimum rate that is not above zero or not finite.
        public static let invalidMinimumRate = Code(.invalidMinimumRate)
        /// A name that no estimator has.
        public static let unknownEstimator = Code(.unknownEstimator)

        /// The name of the code.
        public var description: String { kind.rawValue }
    }

    /// What is wrong.
    public let code: Code
    /// What is wrong, with the offending value, for people.
    public let message: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: what is wrong.
    ///   - message: the same for people, with the offending value.
    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
