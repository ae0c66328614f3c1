internal import BatchEngine
internal import DStreamCore
internal import ProcessEngine
internal import Synchronization

/// A streaming program whose graph is built by a function: what worker processes and restarts need.
///
/// ```swift
/// @main
/// struct WordCount: StreamingApplication {
///     static func makeContext() -> StreamingContext {
///         StreamingContext(
///             appName: "WordCount", batchInterval: .seconds(1), engine: .processes(workers: 4))
///     }
///
///     static func build(_ ssc: StreamingContext) {
///         ssc.socketTextStream("localhost", port: 9999)
///             .flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+).print()
///     }
/// }
/// ```
///
/// Both functions run in every worker process and after every restart, and must make the same each
/// time: no clock, randomness, environment or files of one machine in them. Workers are started with
/// the program's own arguments.
public protocol StreamingApplication {
    /// Makes the context, without streams.
    static func makeContext() throws -> StreamingContext

    /// Declares the streams.
    static func build(_ ssc: StreamingContext) throws

    /// Where checkpoints go, and what the program resumes from; nil, the default: nowhere.
    static var checkpointDirectory: String? { get }
}

extension StreamingApplication {
    /// No checkpoints.
    public static var checkpointDirectory: String? { nil }

    /// Runs the program until it is told to end; see ``StreamingContext/runUntilInterrupted()``.
    ///
    /// What it fails with is written to the standard error, and the program ends with status 1. The
    /// same holds for a run that left failed batches: a restart runs them again.
    @concurrent  // What is isolated to its caller is no entry point of a program.
    public static func main() async {
        do {
            let report = try await context().runUntilInterrupted()
            if report.failedBatches.isEmpty { return BackgroundWriter.standardError.flush() }
            ProcessOutput.writeStandardError("\(report)\n")
        } catch {
            ProcessOutput.writeStandardError("\(error)\n")
        }
        ProcessEnvironment.exit(1)
    }

    /// The built context, not started: for programs with a `main` of their own.
    ///
    /// Call this before anything else. In a worker process it runs tasks and never returns.
    ///
    /// - Throws: what ``makeContext()``, ``build(_:)`` and
    ///   ``StreamingContext/getOrCreate(checkpointDirectory:create:)`` throw.
    public static func context() async throws -> StreamingContext {
        if let worker = WorkerProcess() {
            try await worker.serve { try built().freezeForWorker() }
        }
        guard let checkpointDirectory else { return try built() }
        return try await StreamingContext.getOrCreate(checkpointDirectory: checkpointDirectory) {
            try built()
        }
    }

    /// Makes the context and declares its streams, in the driver and in workers alike.
    private static func built() throws -> StreamingContext {
        let sums = DeclaredSums()
        return try DeclaredSums.$current.withValue(sums) {
            let ssc = try makeContext()
            try build(ssc)
            ssc.application.withLock { $0 = ("\(Self.self)", sums) }
            return ssc
        }
    }
}
