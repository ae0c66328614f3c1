import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext

/// What streams of files give to each batch.
enum FileConformance {
    private static let hiddenName =
        "names that begin with _ or . are never read, instead of failing the batch"

    static func report(_ family: String) async throws -> ConformanceReport {
        var differently: [String: String] = [:]
        for recorded in try RecordedCase.all(of: family) where try failsByName(recorded) {
            differently[recorded.name] = hiddenName
        }
        return try await RecordedCase.report(family, differently: differently) { recorded in
            guard recorded.pipeline == family else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            return try await run(&recorded, isIntended: differently[recorded.name] != nil)
        }
    }

    /// Whether Spark failed a batch because of a file's name.
    private static func failsByName(_ recorded: RecordedCase) throws -> Bool {
        var body = recorded.body
        guard body.has("errors") else { return false }
        return try body.takeArray("errors").contains { json in
            var entry = try PieceStep(json)
            let message = try entry.takeString("message")
            guard message.hasPrefix("Input path does not exist: "),
                let name = message.split(separator: "/").last
            else { return false }
            return name.hasPrefix("_") || name.hasPrefix(".")
        }
    }

    private static func run(
        _ recorded: inout RecordedCase, isIntended: Bool
    ) async throws -> [String] {
        let order = try CaseOrder(&recorded.body)
        let actions = try recorded.body.takeArray("actions").map { batch in
            try batch.elements().map { try FileAction($0) }
        }
        var outputs = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
        var errors = recorded.body.has("errors") ? try recorded.body.takeArray("errors") : []
        if isIntended {
            outputs = try intended(recorded, actions)
            errors = []
        }
        let configuration = try configuration(&recorded.params)
        let builder = try PipelineBuilder(
            params: recorded.params, inputs: [], configuration: configuration)
        let root = try TemporaryDirectory()
        for action in actions.first ?? [] { try action.perform(in: root.path) }
        try declare(builder, recorded.pipeline, root.path)
        recorded.params = builder.params
        try await builder.ssc.start()
        for batch in 1...max(1, builder.batchCount) {
            for action in batch < actions.count ? actions[batch] : [] {
                try action.perform(in: root.path)
            }
            await builder.harness.advance()
        }
        await builder.ssc.stop()
        let expected = try errors.map { try CaseError($0) }
        let found = builder.harness.errors.flatMap { CaseError.ours($0) }
        var differences: [String] = []
        if found != expected {
            differences.append("errors are \(builder.harness.errors), not \(expected)")
        }
        for output in builder.outputs {
            let ours = output.read().map(\.withoutPartitionCount)
            differences += order.differences("output", ours: ours, expected: outputs)
        }
        return differences
    }

    private static func configuration(
        _ params: inout PieceStep
    ) throws -> StreamingContext.Configuration {
        var properties: [String: String] = [:]
        if params.has("conf") {
            properties = try params.takeObject("conf").mapValues { try ElementForm.string.read($0) }
        }
        var configuration = try StreamingContext.Configuration(sparkProperties: properties)
        configuration.fileStreamDetection = .byModificationTime
        configuration.failurePolicy = PipelineBuilder.configuration.failurePolicy
        configuration.maxTaskFailures = PipelineBuilder.configuration.maxTaskFailures
        return configuration
    }

    private static func declare(
        _ builder: PipelineBuilder, _ pipeline: String, _ root: String
    ) throws {
        let named = try builder.params.takeString("directory")
        guard named.hasPrefix("DIR") else {
            throw PieceStep.Malformed(description: "the directory is \(named)")
        }
        let directory = root + named.dropFirst("DIR".count)
        switch pipeline {
        case "textFileStream": builder.output(builder.ssc.textFileStream(directory), .string)
        case "fileStream":
            let newFilesOnly = try builder.params.takeBool("newFilesOnly")
            let stream = builder.ssc.fileStream(
                directory, filter: { $0.hasSuffix(".log") }, newFilesOnly: newFilesOnly)
            builder.output(stream, .pair(.int, .string))
        default:
            let length = Int(try builder.params.takeInt("recordLength"))
            let stream = builder.ssc.binaryRecordsStream(directory, recordLength: length)
            builder.output(stream.map { hex($0) }, .string)
        }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// What is to come out of a case in which no name may fail a batch.
    private static func intended(
        _ recorded: RecordedCase, _ actions: [[FileAction]]
    ) throws -> [CaseBatch] {
        var params = recorded.params
        let isPaired = recorded.pipeline == "fileStream"
        let newFilesOnly = params.has("newFilesOnly") ? try params.takeBool("newFilesOnly") : true
        let batchMillis = try params.takeInt("batchMillis")
        let zero = try params.takeInt("zeroTimeMillis")
        var model = FileModel(
            windowMillis: (60_000 + batchMillis - 1) / batchMillis * batchMillis,
            batchMillis: batchMillis, startMillis: newFilesOnly ? zero : 0,
            isIncluded: { !isPaired || $0.hasSuffix(".log") })
        for action in actions.first ?? [] { model.perform(action) }
        return (1...(try params.takeInt("numBatches"))).map { batch in
            for action in batch < actions.count ? actions[Int(batch)] : [] { model.perform(action) }
            let time = zero + batch * batchMillis
            let elements = model.lines(at: time).map { offset, line in
                isPaired ? PieceJSON.array([.int(Int64(offset)), .string(line)]) : .string(line)
            }
            return CaseBatch(time: time, elements: elements)
        }
    }
}
