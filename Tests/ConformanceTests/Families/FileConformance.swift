import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext

/// What streams of files give to each batch.
enum FileConformance {
    static func report(_ family: String) async throws -> ConformanceReport {
        try await RecordedCase.report(family, pipelines: [family]) { try await compare(&$0) }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        let order = try CaseOrder(&recorded.body)
        let actions = try recorded.body.takeArray("actions").map { batch in
            try batch.elements().map { try FileAction($0) }
        }
        let outputs = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
        let errors = recorded.body.has("errors") ? try recorded.body.takeArray("errors") : []
        let hidden = try errors.filter { try failsByName($0) }
        let (given, others) = (recorded.params, errors.filter { !hidden.contains($0) })
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
            try await builder.harness.advance()
        }
        await builder.ssc.stop()
        let found = builder.harness.errors.flatMap { CaseError.ours($0) }
        var differences: [String] = []
        // No name fails a batch: the other files of that batch are read.
        let expectedErrors = recorded.declare(
            try others.map { try CaseError($0) }, insteadOf: try errors.map { try CaseError($0) },
            .hiddenNames)
        var expected = outputs
        if !hidden.isEmpty {
            let model = try modelled(
                recorded.pipeline, given, configuration.fileStreamMinimumRemember, actions)
            let times = try hidden.map { json in
                var entry = try PieceStep(json)
                return try entry.takeInt("timeMillis")
            }
            // The model must agree wherever Spark read something.
            differences += order.differences(
                "the model", ours: model.filter { !times.contains($0.time) }, expected: outputs)
            expected = recorded.declare(model, insteadOf: outputs, .hiddenNames)
        }
        if found != expectedErrors {
            differences.append("errors are \(builder.harness.errors), not \(expectedErrors)")
        }
        for output in builder.outputs {
            let ours = output.read().map(\.withoutPartitionCount)
            differences += order.differences("output", ours: ours, expected: expected)
        }
        return differences
    }

    /// Whether Spark failed a batch because of a file's name.
    private static func failsByName(_ error: PieceJSON) throws -> Bool {
        var entry = try PieceStep(error)
        let message = try entry.takeString("message")
        guard message.hasPrefix("Input path does not exist: "),
            let name = message.split(separator: "/").last
        else { return false }
        return name.hasPrefix("_") || name.hasPrefix(".")
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

    /// What comes out of a case when no name fails a batch.
    private static func modelled(
        _ pipeline: String, _ params: PieceStep, _ remembered: Duration, _ actions: [[FileAction]]
    ) throws -> [CaseBatch] {
        var params = params
        guard try params.takeString("directory") == "DIR", pipeline != "binaryRecordsStream" else {
            throw Pipelines.Unknown(description: "the model has one directory of text files")
        }
        let isPaired = pipeline == "fileStream"
        let newFilesOnly = params.has("newFilesOnly") ? try params.takeBool("newFilesOnly") : true
        let batchMillis = try params.takeInt("batchMillis")
        let clock = params.has("zeroTimeMillis") ? try params.takeInt("zeroTimeMillis") : 0
        let zero = clock / batchMillis * batchMillis
        var model = FileModel(
            windowMillis: (remembered.milliseconds + batchMillis - 1) / batchMillis * batchMillis,
            batchMillis: batchMillis, startMillis: newFilesOnly ? clock : 0,
            isIncluded: { !isPaired || $0.hasSuffix(".log") })
        for action in actions.first ?? [] { try model.perform(action) }
        return try (1...(try params.takeInt("numBatches"))).map { batch in
            for action in batch < actions.count ? actions[Int(batch)] : [] {
                try model.perform(action)
            }
            let time = zero + batch * batchMillis
            let elements = model.lines(at: time).map { offset, line in
                isPaired ? PieceJSON.array([.int(Int64(offset)), .string(line)]) : .string(line)
            }
            return CaseBatch(time: time, elements: elements)
        }
    }
}
