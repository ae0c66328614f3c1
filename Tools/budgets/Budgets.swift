import BatchEngine

// Counts the allocations of every hot path and compares them with a file of budgets; started by
// Tools/checks/budgets. With allocating-map=1 the only path is a map that allocates per element, to
// see that the check notices.

@main
struct Budgets {
    static func main() async {
        do { try await run() } catch {
            ProcessOutput.writeStandardError("budgets: \(error)\n")
            ProcessEnvironment.exit(1)
        }
    }

    private static func run() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let file = arguments.first else {
            throw BudgetError("usage: budgets FILE [allocating-map=1]; see Tools/checks/budgets")
        }
        let paths =
            arguments.contains("allocating-map=1") ? [HotPath.allocatingMap] : HotPath.all
        let budgets = try Budget.read(file)
        var faults = budgets.keys.filter { name in !HotPath.all.contains { $0.name == name } }
            .sorted().map { "\(file): there is no path \($0)" }
        defer { try? FileSystem.removeTree(HotPath.folder.get()) }
        print(Figures.header)
        for path in paths {
            let figures = try await path.measure()
            print(figures.text(path.name))
            if let budget = budgets[path.name] {
                faults += budget.faults(path.name, figures)
            } else {
                faults.append("\(file): \(path.name) has no line")
            }
        }
        guard faults.isEmpty else { throw BudgetError(faults.joined(separator: "\n")) }
    }
}

struct BudgetError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// What a path may allocate.
struct Budget {
    let perElement: Double
    let perBlock: Double

    func faults(_ name: String, _ figures: Figures) -> [String] {
        var faults: [String] = []
        if figures.perElement > perElement {
            faults.append(
                "\(name): \(Figures.short(figures.perElement)) allocations per element, the budget "
                    + "is \(perElement)")
        }
        if figures.perBlock > perBlock {
            faults.append(
                "\(name): \(Figures.short(figures.perBlock)) allocations per block, the budget is "
                    + "\(perBlock)")
        }
        return faults
    }

    /// Reads lines of a path's name, allocations per element, and per block.
    static func read(_ file: String) throws -> [String: Budget] {
        var budgets: [String: Budget] = [:]
        let text = String(decoding: try FileSystem.readAll(file), as: UTF8.self)
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            let fields = line.prefix { $0 != "#" }.split(separator: " ")
            if fields.isEmpty { continue }
            guard fields.count >= 3, let element = Double(fields[1]), let block = Double(fields[2])
            else { throw BudgetError("\(file):\(number + 1) is not a name and two numbers") }
            budgets[String(fields[0])] = Budget(perElement: element, perBlock: block)
        }
        return budgets
    }
}
