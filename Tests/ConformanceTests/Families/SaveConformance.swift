import BatchEngine
import DStreamCore
import DStreamTestKit
import Foundation
import StreamingContext

/// The files that output operations leave.
enum SaveConformance {
    static func report() async throws -> ConformanceReport {
        var differently: [String: String] = [:]
        for recorded in try RecordedCase.all(of: "saveAs")
        where recorded.pipeline == "saveAsNewAPIHadoopFiles" {
            differently[recorded.name] =
                "covered by our text output: the same lines in files without -r- in their names"
        }
        return try await RecordedCase.report("saveAs", differently: differently) { recorded in
            _ = try CaseOrder(&recorded.body)
            // Files of checksums are of their file system, not of the output.
            _ = try recorded.body.takeBool("crcFilesPresent")
            let expected = try recorded.body.take("files")
            let root = try TemporaryDirectory()
            let builder = try PipelineBuilder(
                params: recorded.params, inputs: try recorded.takeInputs())
            let prefix = try builder.params.takeString("prefix")
            let suffix = try builder.params.takeOptionalString("suffix") ?? ""
            try declare(builder, recorded.pipeline, prefix: "\(root.path)/\(prefix)", suffix)
            recorded.params = builder.params
            if recorded.name.contains("directory_exists") {
                let name = OutputNaming.fileName(
                    prefix: prefix, suffix: suffix, time: .milliseconds(2000))
                try FileSystem.createDirectory("\(root.path)/\(name)")
            }
            let errors = await builder.run()
            return errors.map { "\($0)" } + (try differences(root.path, expected))
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

    private static func differences(_ root: String, _ expected: PieceJSON) throws -> [String] {
        let ours = try files(below: root, "")
        switch expected {
        case .object(let members):
            let contents = try members.mapValues { try ElementForm.string.read($0) }
            let theirs = Dictionary(
                uniqueKeysWithValues: contents.map { path, text in (plain(path), text) })
            return ours == theirs ? [] : ["files are \(ours), not \(theirs)"]
        default:
            let theirs = try expected.elements().map { plain(try ElementForm.string.read($0)) }
            let paths = ours.keys.sorted()
            return paths == theirs.sorted() ? [] : ["files are \(paths), not \(theirs)"]
        }
    }

    /// The name that our text output gives.
    private static func plain(_ path: String) -> String {
        guard let mark = path.range(of: "/part-r-") else { return path }
        return path[..<mark.lowerBound] + "/part-" + path[mark.upperBound...]
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
