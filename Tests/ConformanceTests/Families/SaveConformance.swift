import BatchEngine
import DStreamCore
import DStreamTestKit
import Foundation
import StreamingContext

/// The files that output operations leave.
enum SaveConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("saveAs") { recorded in
            let order = try CaseOrder(&recorded.body)
            // Files of checksums are of their file system, not of the output.
            _ = try recorded.body.takeBool("crcFilesPresent")
            let expected = Files(try recorded.body.take("files"))
            let root = try TemporaryDirectory()
            let builder = try PipelineBuilder(
                params: recorded.params, inputs: try recorded.takeInputs())
            let prefix = try builder.params.takeString("prefix")
            let suffix = try builder.params.takeOptionalString("suffix") ?? ""
            try declare(builder, recorded.pipeline, prefix: "\(root.path)/\(prefix)", suffix)
            recorded.params = builder.params
            for time in existing(recorded.code) {
                let name = OutputNaming.fileName(prefix: prefix, suffix: suffix, time: time)
                try FileSystem.createDirectory("\(root.path)/\(name)")
            }
            let errors = await builder.run().map { "\($0)" }
            // Our text output names its files without `-r-`.
            let declared =
                recorded.pipeline == "saveAsNewAPIHadoopFiles" ? expected?.plain : expected
            let theirs = recorded.declare(declared, insteadOf: expected, .textOutput)
            let ours = Files(
                try files(below: root.path, ""), hasContents: expected?.hasContents ?? true)
            let agree = ours.arranged(order) == theirs?.arranged(order)
            return errors + (agree ? [] : ["files are \(ours), not \(theirs as Any)"])
        }
    }

    /// Batches whose directory is there before they come: their pipeline's text says so.
    private static func existing(_ code: String) -> [BatchTime] {
        code.matches(of: #/the directory of batch (\d+) exists already/#).compactMap { match in
            Int64(match.1).map { BatchTime(milliseconds: $0) }
        }
    }

    /// Files as a case has them: paths and, unless only names count, contents.
    private struct Files: Equatable {
        var contents: [String: String]
        let hasContents: Bool

        init(_ contents: [String: String], hasContents: Bool) {
            self.contents = hasContents ? contents : contents.mapValues { _ in "" }
            self.hasContents = hasContents
        }

        init?(_ json: PieceJSON) {
            var contents: [String: String] = [:]
            switch json {
            case .object(let members):
                for (path, text) in members {
                    guard case .string(let text) = text else { return nil }
                    contents[path] = text
                }
                self.init(contents, hasContents: true)
            case .array(let paths):
                for path in paths {
                    guard case .string(let path) = path,
                        contents.updateValue("", forKey: path) == nil
                    else { return nil }
                }
                self.init(contents, hasContents: false)
            default: return nil
            }
        }

        /// The same under the names that our text output gives.
        var plain: Files {
            var plain = Files([:], hasContents: hasContents)
            for (path, text) in contents {
                let name = path.replacingOccurrences(of: "/part-r-", with: "/part-")
                plain.contents[name] = text
            }
            return plain
        }

        /// Lines in the order in which they are compared.
        func arranged(_ order: CaseOrder) -> Files {
            guard !order.isExact else { return self }
            return Files(
                contents.mapValues { text in
                    text.components(separatedBy: "\n").sorted().joined(separator: "\n")
                }, hasContents: hasContents)
        }
    }

    private static func declare(
        _ builder: PipelineBuilder, _ pipeline: String, prefix: String, _ suffix: String
    ) throws {
        let pairs = try builder.input(.counted)
        switch pipeline {
        case "saveAsTextFiles":
            pairs.map { "\($0.0) \($0.1)" }.saveAsTextFiles(prefix: prefix, suffix: suffix)
        case "saveAsNewAPIHadoopFiles":
            pairs.map { "\($0.0)\t\($0.1)" }.saveAsTextFiles(prefix: prefix, suffix: suffix)
        case "saveAsObjectFiles": pairs.saveAsObjectFiles(prefix: prefix, suffix: suffix)
        default: throw Pipelines.Unknown(description: "no pipeline is known as \(pipeline)")
        }
    }

    private static func files(below root: String, _ stem: String) throws -> [String: String] {
        var files: [String: String] = [:]
        for name in try FileSystem.list(root) {
            let path = "\(root)/\(name)"
            if try FileSystem.status(path)?.isDirectory == true {
                files.merge(try Self.files(below: path, "\(stem)\(name)/")) { first, _ in first }
            } else {
                files["\(stem)\(name)"] = String(
                    decoding: try FileSystem.readAll(path), as: UTF8.self)
            }
        }
        return files
    }
}
