import BatchEngine
import DStreamTestKit
import Foundation

/// A file of elements, as `saveAsObjectFile` writes it.
enum ObjectFileTarget {
    private static let folder =
        FileManager.default.temporaryDirectory.path
        + "/fuzz-\(ProcessInfo.processInfo.processIdentifier)"
    private static let context = BatchContext(engine: InlineEngine())

    static func feed(_ bytes: [UInt8]) -> Bool {
        finish {
            guard (try? FileSystem.createDirectory(folder)) != nil else { return false }
            let path = folder + "/part"
            try? FileSystem.writeAtomically(path, bytes, durability: .handedOver)
            let elements = try? await context.objectFile(path, of: (String, Int).self).collect()
            return elements != nil
        }
    }

    static func seed() throws -> [UInt8] {
        let folder = folder + "-seed"
        finish {
            let elements = context.parallelize([("a", 1), ("b", 2), ("c", -3)], partitions: 1)
            try? await elements.saveAsObjectFile(folder)
        }
        defer { try? FileSystem.removeTree(folder) }
        let names = try FileSystem.list(folder).filter { $0.hasPrefix("part-") }
        return try names.first.map { try FileSystem.readAll(folder + "/" + $0) } ?? []
    }
}
