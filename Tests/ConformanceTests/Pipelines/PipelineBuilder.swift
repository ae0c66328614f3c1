import BatchEngine
import DStreamCore
import DStreamTestKit
import Foundation
import StreamingContext
import Synchronization

/// Declares the pipeline of a case on a harness of its own, and reads what came out.
final class PipelineBuilder {
    /// An output of the pipeline; nil: the main one.
    typealias Output = (name: String?, read: () -> [CaseBatch])

    let harness: StreamHarness
    let partitions: Int
    let batchCount: Int
    let inputs: [[[PieceJSON]?]]
    var params: PieceStep
    private(set) var outputs: [Output] = []
    private let directory: TemporaryDirectory?

    var ssc: StreamingContext { harness.ssc }

    /// Takes the parameters that all pipelines have.
    init(
        params: PieceStep, inputs: [[[PieceJSON]?]],
        configuration: StreamingContext.Configuration = PipelineBuilder.configuration
    ) throws {
        var params = params
        let printed = SharedText()
        let zero = params.has("zeroTimeMillis") ? try params.takeTime("zeroTimeMillis") : .zero
        harness = StreamHarness(
            batchInterval: try params.takeDuration("batchMillis"), startTime: zero,
            configuration: configuration, standardOutput: { printed.append($0) })
        standardOutput = printed
        partitions = params.has("partitions") ? Int(try params.takeInt("partitions")) : 2
        batchCount = params.has("numBatches") ? Int(try params.takeInt("numBatches")) : 0
        let needsDirectory =
            params.has("checkpointDir") ? try params.takeBool("checkpointDir") : false
        directory = needsDirectory ? try TemporaryDirectory() : nil
        self.params = params
        self.inputs = inputs
        if let directory { harness.ssc.checkpoint(directory.path) }
    }

    /// What `print` wrote.
    let standardOutput: SharedText

    /// The recorded runs went on after failures, and tried a task once.
    static var configuration: StreamingContext.Configuration {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        configuration.maxTaskFailures = 1
        return configuration
    }

    /// The first input stream of the case.
    func input<Element: Sendable>(
        _ form: ElementForm<Element>, from first: BatchTime? = nil
    ) throws -> DStream<Element> { try input(0, form, from: first) }

    /// An input stream of the case.
    func input<Element: Sendable>(
        _ index: Int, _ form: ElementForm<Element>, from first: BatchTime? = nil
    ) throws -> DStream<Element> {
        guard inputs.indices.contains(index) else {
            throw PieceStep.Malformed(description: "there is no input \(index)")
        }
        return harness.input(
            try inputs[index].map { try $0?.map(form.read) }, from: first, partitions: partitions)
    }

    /// Makes a stream an output of the pipeline.
    func output<Element: Sendable>(
        _ stream: DStream<Element>, _ form: ElementForm<Element>, name: String? = nil
    ) {
        let recorder = harness.record(stream)
        outputs.append(
            (
                name,
                {
                    recorder.batches.map { batch in
                        CaseBatch(
                            time: batch.time.milliseconds, elements: batch.elements.map(form.write),
                            partitionCount: Int64(batch.partitions.count))
                    }
                }
            ))
    }

    func duration(_ key: String) throws -> Duration { try params.takeDuration(key) }

    /// The number of output partitions; 0 in a case is the default.
    func takePartitions(_ key: String = "numPartitions") throws -> Int? {
        let count = Int(try params.takeInt(key))
        return count == 0 ? nil : count
    }

    /// Starts, runs all batches and stops.
    ///
    /// - Returns: the errors, in terms that can be compared.
    func run() async -> [CaseError] {
        do {
            try await ssc.start()
        } catch {
            return CaseError.ours(error)
        }
        do {
            for _ in 0..<batchCount { try await harness.advance() }
        } catch {
            // What came out so far, and the errors, are compared.
        }
        await ssc.stop()
        return harness.errors.flatMap { CaseError.ours($0) }
    }
}

/// Text that is written from anywhere.
final class SharedText: Sendable {
    private let text = Locked("")

    func append(_ more: String) { text.withLock { $0 += more } }

    /// The text since the last call.
    func take() -> String {
        text.withLock { text in
            defer { text = "" }
            return text
        }
    }
}

/// A directory that goes when nobody needs it any more.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("conformance-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
