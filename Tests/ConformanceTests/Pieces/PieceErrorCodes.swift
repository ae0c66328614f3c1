import DStreamCore
import JobGeneration
import ReceiverRuntime

/// Which of our error codes stands for which exception of a piece.
enum PieceErrorCodes {
    struct Unmapped: Error, CustomStringConvertible {
        let description: String
    }

    private struct Entry {
        let type: String
        /// How the message begins; with `isWhole`, the message.
        let text: String
        var isWhole = false
        let code: String
    }

    private static let illegalArgument = "java.lang.IllegalArgumentException"

    private static let table: [Entry] = [
        Entry(
            type: "java.lang.ArithmeticException", text: "/ by zero", isWhole: true,
            code: "BatchTimeError.zeroDuration"),
        Entry(
            type: illegalArgument, text: "step cannot be 0.", isWhole: true,
            code: "BatchTimeError.zeroDuration"),
        Entry(
            type: illegalArgument, text: "Unknown rate estimator: ",
            code: "RateEstimatorError.unknownEstimator"),
        Entry(
            type: illegalArgument,
            text: "requirement failed: Minimum rate in PIDRateEstimator should be > 0",
            isWhole: true, code: "RateEstimatorError.invalidMinimumRate"),
        Entry(
            type: illegalArgument, text: "requirement failed: Proportional term ",
            code: "RateEstimatorError.invalidWeight"),
        Entry(
            type: illegalArgument, text: "requirement failed: Integral term ",
            code: "RateEstimatorError.invalidWeight"),
        Entry(
            type: illegalArgument, text: "requirement failed: Derivative term ",
            code: "RateEstimatorError.invalidWeight"),
        Entry(
            type: illegalArgument, text: "requirement failed: Specified batch interval ",
            code: "RateEstimatorError.invalidBatchInterval"),
        // The text of the block tracker's clean-up: it has no message of its own.
        Entry(
            type: illegalArgument, text: "requirement failed", isWhole: true,
            code: "ReceiverError.cleanupTooEarly"),
        Entry(
            type: "org.apache.spark.SparkException",
            text: "Cannot add data as BlockGenerator has not been started or has been stopped",
            isWhole: true, code: "ReceiverError.notActive"),
    ]

    static func code(type: String, message: String) throws -> String {
        let entry = table.first { entry in
            entry.type == type
                && (entry.isWhole ? message == entry.text : message.hasPrefix(entry.text))
        }
        guard let entry else {
            throw Unmapped(description: "no code stands for \(type) \"\(message)\"")
        }
        return entry.code
    }

    static func code(of error: any Error) -> String {
        switch error {
        case let error as BatchTimeError: "BatchTimeError.\(error.code)"
        case let error as RateEstimatorError: "RateEstimatorError.\(error.code)"
        case let error as ReceiverError: "ReceiverError.\(error.code)"
        default: "\(error)"
        }
    }
}
