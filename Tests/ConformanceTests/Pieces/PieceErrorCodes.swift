import DStreamCore
import JobGeneration

/// Which of our error codes stands for which message.
enum PieceErrorCodes {
    struct Unmapped: Error, CustomStringConvertible {
        let description: String
    }

    private static let table: [(prefix: String, code: String)] = [
        ("/ by zero", "BatchTimeError.zeroDuration"),
        ("step cannot be 0.", "BatchTimeError.zeroDuration"),
        ("Unknown rate estimator: ", "RateEstimatorError.unknownEstimator"),
        (
            "requirement failed: Minimum rate in PIDRateEstimator should be > 0",
            "RateEstimatorError.invalidMinimumRate"
        ),
        ("requirement failed: Proportional term ", "RateEstimatorError.invalidWeight"),
        ("requirement failed: Integral term ", "RateEstimatorError.invalidWeight"),
        ("requirement failed: Derivative term ", "RateEstimatorError.invalidWeight"),
        (
            "requirement failed: Specified batch interval ",
            "RateEstimatorError.invalidBatchInterval"
        ),
    ]

    static func code(for message: String) throws -> String {
        guard let entry = table.first(where: { message.hasPrefix($0.prefix) }) else {
            throw Unmapped(description: "no code stands for \"\(message)\"")
        }
        return entry.code
    }

    static func code(of error: any Error) -> String {
        switch error {
        case let error as BatchTimeError: "BatchTimeError.\(error.code)"
        case let error as RateEstimatorError: "RateEstimatorError.\(error.code)"
        default: "\(error)"
        }
    }
}
