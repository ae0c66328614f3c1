import BatchEngine
import DStreamCore
import Foundation

/// An exception of the case's own closures, by the text it carries.
struct CaseFailure: Error, CustomStringConvertible {
    let description: String
}

/// One error of a case or of ours, in terms that can be compared.
struct CaseError: Hashable, CustomStringConvertible {
    enum Phase: String, Hashable { case start, generateJobs, runJob }

    enum Cause: Hashable {
        /// One of our errors.
        case code(StreamError.Code)
        /// What a closure of the case threw.
        case thrown(String)
    }

    struct Unmapped: Error, CustomStringConvertible {
        let description: String
    }

    var phase: Phase?
    var time: Int64?
    var cause: Cause

    var description: String {
        let place = [phase.map(\.rawValue), time.map { "at \($0)" }].compactMap { $0 }
        return (place + ["\(cause)"]).joined(separator: " ")
    }

    /// Reads an entry of `errors`.
    init(_ json: PieceJSON) throws {
        var entry = try PieceStep(json)
        switch try entry.takeString("phase") {
        // Our operators do not throw: a bad declaration is thrown by start.
        case "build", "start": phase = .start
        case "generateJobs": phase = .generateJobs
        case "runJob": phase = .runJob
        case let other: throw Unmapped(description: "unknown phase \(other)")
        }
        time = entry.has("timeMillis") ? try entry.takeInt("timeMillis") : nil
        cause = try Self.takeCause(&entry)
        try entry.requireNothingLeft()
    }

    /// Takes type and message, and maps the innermost one.
    static func takeCause(_ entry: inout PieceStep) throws -> Cause {
        var type = try entry.takeString("type")
        var message = try entry.takeOptionalString("message") ?? ""
        if entry.has("rootType") {
            let root = try entry.takeString("rootType")
            let text = try entry.takeOptionalString("rootMessage") ?? ""
            // What was read when its end came says more than that it did.
            if let code = outer.first(where: { $0.type == type && message.hasPrefix($0.prefix) }) {
                return .code(code.code)
            }
            (type, message) = (root, text)
        }
        return try cause(type: type, message: message)
    }

    /// One of ours, as thrown by start or reported for a batch.
    static func ours(_ error: any Error) -> [CaseError] {
        guard let error = error as? StreamError else {
            return [CaseError(phase: nil, time: nil, cause: .thrown("\(error)"))]
        }
        if error.code == .declarations { return error.parts.flatMap { ours($0) } }
        let phase: Phase =
            switch error.code {
            case .generationFailed: .generateJobs
            case .outputFailed where error.outputOperation != nil: .runJob
            default: .start
            }
        return [
            CaseError(phase: phase, time: error.batchTime?.milliseconds, cause: cause(of: error))
        ]
    }

    init(phase: Phase?, time: Int64?, cause: Cause) {
        self.phase = phase
        self.time = time
        self.cause = cause
    }

    /// The innermost cause.
    static func cause(of error: any Error) -> Cause {
        switch error {
        case let error as StreamError:
            error.underlying.map { cause(of: $0) } ?? .code(error.code)
        case let error as OperatorFailure: cause(of: error.underlying)
        case let error as EngineError: error.underlying.map { cause(of: $0) } ?? .thrown("\(error)")
        default: .thrown("\(error)")
        }
    }
}

// Which of our error codes stands for which message.
extension CaseError {
    private static let table: [(type: String, prefix: String, code: StreamError.Code)] = [
        (
            "org.apache.spark.SparkException", "Couldn't generate RDD from parent at time ",
            .noParentRDD
        ),
        (
            "org.apache.spark.SparkException",
            "Could not generate RDD from a parent for unifying at time ", .noParentRDD
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Some of the DStreams have different slide durations",
            .slideMismatch
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Some of the DStreams have different contexts", .contextMismatch
        ),
        ("java.lang.Exception", "The window duration of windowed DStream (", .badWindow),
        ("java.lang.Exception", "The slide duration of windowed DStream (", .badWindow),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: The window duration of ReducedWindowedDStream (", .badWindow
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: The slide duration of ReducedWindowedDStream (", .badWindow
        ),
        (
            "java.lang.Exception", "Neither previous window has value for key, nor new values ",
            .outputFailed
        ),
        ("java.util.NoSuchElementException", "head of empty array", .noInput),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: No output operations registered, so nothing to execute", .noOutput
        ),
        (
            "java.lang.IllegalStateException", "StreamingContext has already been stopped",
            .alreadyStopped
        ),
        (
            "java.lang.IllegalStateException",
            "Adding new inputs, transformations, and output operations after stopping a context",
            .alreadyStopped
        ),
        (
            "java.lang.IllegalStateException",
            "Adding new inputs, transformations, and output operations after starting a context",
            .alreadyStarted
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Remember duration already set as ", .rememberAlreadySet
        ),
        (
            "java.lang.UnsupportedOperationException",
            "Cannot change checkpoint interval of a DStream after streaming context has started",
            .alreadyStarted
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: The checkpoint interval for ", .checkpointInterval
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: The checkpoint directory has not been set.",
            .checkpointDirectoryMissing
        ),
        // A file that ends within a record, and one that is gone.
        ("java.io.EOFException", "", .fileUnreadable),
        ("java.io.FileNotFoundException", "", .fileUnreadable),
        ("java.io.IOException", "Input path does not exist: ", .fileUnreadable),
        ("java.util.NoSuchElementException", "State is not set", .stateNotSet),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Cannot update the state after it has been removed", .stateRemoved
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Cannot remove the state that has already been removed",
            .stateRemoved
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Cannot update the state that is timing out", .stateTimingOut
        ),
        (
            "java.lang.IllegalArgumentException",
            "requirement failed: Cannot remove the state that is timing out", .stateTimingOut
        ),
    ]

    /// Exceptions that stand for one of our codes whatever their cause is.
    private static let outer: [(type: String, prefix: String, code: StreamError.Code)] = [
        (
            "org.apache.spark.SparkException", "Failed to read checkpoint from directory ",
            .checkpointUnreadable
        )
    ]

    /// Messages of the cases' own closures: ours throw the same text.
    private static let thrown: [(type: String, prefix: String)] = [
        ("java.lang.IllegalStateException", "boom"),
        ("java.lang.IllegalStateException", "gen"),
        ("java.lang.IllegalStateException", "three"),
        ("java.lang.ArithmeticException", "/ by zero"),
    ]

    static func cause(type: String, message: String) throws -> Cause {
        let task = "(localhost executor driver): "
        if message.hasPrefix("Job aborted due to stage failure: "),
            let start = message.range(of: task)?.upperBound,
            let colon = message[start...].range(of: ": ")
        {
            return try cause(
                type: String(message[start..<colon.lowerBound]),
                message: String(message[colon.upperBound...]))
        }
        let entry = table.first { $0.type == type && message.hasPrefix($0.prefix) }
        if let entry { return .code(entry.code) }
        if thrown.contains(where: { $0.type == type && message.hasPrefix($0.prefix) }) {
            return .thrown(message)
        }
        throw Unmapped(description: "no code stands for \(type) \"\(message)\"")
    }
}
