import Testing

/// The house rules, applied to the repository; each is tested itself in `RulesOf…Tests`.
@Suite struct HouseRulesTests {
    private let tree = SourceTree.repository

    private func manifest() throws -> Manifest {
        Manifest(try #require(tree.files.first { $0.path == "Package.swift" }))
    }

    @Test func theWholeRepositoryIsRead() throws {
        for folder in ["Modules/BatchEngine", "Modules/DStreamCore", "Tests/TidyTests", "Tools"] {
            #expect(!tree.swift(folder).isEmpty, "no sources read in \(folder)")
        }
        #expect(tree.files.contains { $0.path.hasPrefix("Docs/Decisions/") })
        let semantics = try #require(tree.files.first { $0.path == "Docs/Semantics.md" })
        #expect(semantics.text.contains("**S1**"))
        let names = Set(try manifest().targets.map(\.name))
        #expect(names.isSuperset(of: ["BatchEngine", "StreamingContext", "TidyTests"]))
    }

    @Test func modulesImportWhatTheTableAllows() {
        expectNone(ImportTable.house.findings(tree), "Imports the table does not allow:")
    }

    @Test func theManifestAgreesWithTheTable() throws {
        let findings = ImportTable.house.findings(tree, try manifest())
        expectNone(findings, "Dependencies that disagree with the import table:")
    }

    @Test func everyFolderIsBuilt() throws {
        expectNone(unbuiltFolders(tree, try manifest()), "Sources that no target builds:")
        expectNone(nestedPackages(tree), "One package:")
    }

    @Test func onlyTheFaceReexports() {
        let left = remaining(underscoredAttributes(tree), allowing: Allowances.attributes)
        expectNone(left, "Underscored attributes, or @testable where `package` access serves:")
    }

    @Test func tasksAndTimeHaveOwners() {
        let left = remaining(unownedTasksAndTime(tree), allowing: Allowances.tasksAndTime)
        expectNone(left, "Tasks without an owner, sleeps and clocks nobody injected:")
    }

    @Test func locksAreSeenByTheSanitizer() {
        expectNone(unseenLocks(tree), "Locks the thread sanitizer cannot see; use `Locked`:")
    }

    @Test func nothingIsForced() {
        expectNone(remaining(forcedCode(tree), allowing: Allowances.forced), "Forced code:")
    }

    @Test func uncheckedCodeHasAReason() {
        let left = remaining(unsafeCode(tree), allowing: Allowances.unsafe)
        expectNone(left, "Compiler checks switched off without a reason:")
    }

    @Test func openWorkHasANumber() {
        expectNone(unnumberedNotes(tree), "Notes on open work without an issue number:")
    }

    @Test func filesAndFunctionsFitTheReader() {
        expectNone(longFiles(tree), "Files with more than \(fileLinesMaximum) lines:")
        expectNone(longFunctions(tree), "Functions with more than \(functionLinesMaximum) lines:")
    }

    @Test func namesSaySomething() {
        expectNone(bannedNames(tree), "Names with words that say nothing:")
    }

    @Test func testsNeverSleep() {
        expectNone(sleepingTests(tree), "Tests that wait for time to pass:")
    }

    @Test func linksResolve() {
        expectNone(deadDecisionLinks(tree), "References to decision records that lead nowhere:")
        expectNone(ambiguousDecisions(tree), "Decision records that share a number:")
        expectNone(deadDocumentLinks(tree), "Links between documents that lead nowhere:")
    }

    @Test func everyPromiseIsTested() {
        expectNone(untestedPromises(tree), "Promises of Docs/Semantics.md that no test names:")
    }

    @Test func theTextSpeaksOfTheProjectAlone() {
        expectNone(strayText(tree), "Text that does not belong:")
    }

    @Test func theTopIsWhatItShouldBe() {
        expectNone(strayTopLevel(tree), "The top of the repository:")
    }
}
